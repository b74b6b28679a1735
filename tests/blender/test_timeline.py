"""Which source frame does a timeline frame show? The mapping against what Blender renders."""

from __future__ import annotations

import bpy
import footage
import pytest


def new_movie(scene, clips, start=10):
    return scene.sequence_editor.strips.new_movie("shot", str(clips.movie), 1, start)


def plain(addon, scene, clips):
    return new_movie(scene, clips)


def trimmed(addon, scene, clips):
    strip = new_movie(scene, clips)
    addon.compat.set_span(strip, 17, 31)
    return strip


def before_frame_zero(addon, scene, clips):
    return new_movie(scene, clips, start=-20)


def trimmed_content(addon, scene, clips):
    strip = new_movie(scene, clips)
    if bpy.app.version >= (5, 1, 0):
        strip.content_trim_start, strip.content_trim_end = 5, 3
    else:
        strip.animation_offset_start, strip.animation_offset_end = 5, 3
    left, right = addon.compat.span(strip)
    addon.compat.set_span(strip, left + 4, right - 4)
    return strip


def second_half(addon, scene, clips):
    return new_movie(scene, clips).split(frame=25, split_method="SOFT")


def second_half_cut_hard(addon, scene, clips):
    return new_movie(scene, clips).split(frame=25, split_method="HARD")


def pulled_past_its_ends(addon, scene, clips):
    strip = new_movie(scene, clips)
    addon.compat.set_span(strip, 4, 66)
    return strip


def moved(addon, scene, clips):
    strip = trimmed(addon, scene, clips)
    if bpy.app.version >= (5, 1, 0):
        strip.content_start += 7
    else:
        strip.frame_start += 7
    return strip


def picture_sequence(addon, scene, clips):
    files = sorted(clips.pictures.iterdir())
    strip = scene.sequence_editor.strips.new_image("shot", str(files[0]), 1, 10)
    for file in files[1:]:
        strip.elements.append(file.name)
    addon.compat.set_span(strip, 14, 30)
    return strip


def other_rate_frame_by_frame(addon, scene, clips):
    return scene.sequence_editor.strips.new_movie("shot", str(clips.fast), 1, 10)


def sequencer_context():
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    area.spaces.active.view_type = "SEQUENCER"
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region)


def retime(scene, strip, change):
    """Run operators on the strip as a user does who has it selected."""
    scene.sequence_editor.active_strip = strip
    for other in scene.sequence_editor.strips:
        other.select = other == strip
    with sequencer_context():
        change(bpy.ops.sequencer)
    return strip


def slowed(addon, scene, clips):
    return retime(scene, new_movie(scene, clips), lambda op: op.retiming_segment_speed_set(speed=50))


def hurried(addon, scene, clips):
    strip = retime(scene, new_movie(scene, clips), lambda op: op.retiming_segment_speed_set(speed=230))
    left, right = addon.compat.span(strip)
    addon.compat.set_span(strip, left + 3, right - 2)
    return strip


def partly_slowed(addon, scene, clips):
    """The first part at its own speed, the rest at a third."""

    def change(op):
        op.retiming_key_add(timeline_frame=20)
        op.retiming_key_add(timeline_frame=36)

    strip = retime(scene, new_movie(scene, clips), change)
    strip.retiming_keys[-1].timeline_frame += 24
    return strip


def frozen(addon, scene, clips):
    def change(op):
        scene.frame_set(24)
        op.retiming_key_add(timeline_frame=24)
        op.retiming_freeze_frame_add(duration=12)

    return retime(scene, new_movie(scene, clips), change)


def eased(addon, scene, clips):
    """A smooth change of speed."""

    def change(op):
        op.retiming_key_add(timeline_frame=30)
        strip.retiming_keys[-1].timeline_frame += 40
        op.retiming_transition_add(duration=16)

    strip = new_movie(scene, clips)
    return retime(scene, strip, change)


def reversed_frames(addon, scene, clips):
    strip = new_movie(scene, clips)
    strip.use_reverse_frames = True
    return strip


def reversed_and_trimmed(addon, scene, clips):
    strip = reversed_frames(addon, scene, clips)
    addon.compat.set_span(strip, 17, 31)
    return strip


def reversed_and_slowed(addon, scene, clips):
    strip = slowed(addon, scene, clips)
    strip.use_reverse_frames = True
    return strip


def reversed_with_trimmed_content(addon, scene, clips):
    strip = trimmed_content(addon, scene, clips)
    strip.use_reverse_frames = True
    return strip


def strobed(addon, scene, clips):
    strip = trimmed(addon, scene, clips)
    strip.strobe = 3.0
    return strip


def slowed_pictures(addon, scene, clips):
    return retime(scene, picture_sequence(addon, scene, clips), lambda op: op.retiming_segment_speed_set(speed=60))


def rate_adjusted(addon, scene, clips):
    footage.prepare(scene)  # the operator fits the picture into the frame
    with sequencer_context():
        bpy.ops.sequencer.movie_strip_add(
            filepath=str(clips.fast), channel=1, frame_start=1, sound=False, use_framerate=False,
            adjust_playback_rate=True, **({"move_strips": False} if bpy.app.version >= (5, 0, 0) else {}),
        )  # fmt: skip
    return scene.sequence_editor.strips[0]


def rate_adjusted_and_slowed(addon, scene, clips):
    strip = rate_adjusted(addon, scene, clips)
    return retime(scene, strip, lambda op: op.retiming_segment_speed_set(speed=70))


def put_into_meta(scene, strip):
    """As the user does: a meta made through the API is one frame long in Blender 4.5."""
    retime(scene, strip, lambda op: bpy.ops.sequencer.meta_make())
    return strip.parent_meta()


def inside_meta(addon, scene, clips):
    strip = new_movie(scene, clips)
    addon.compat.set_span(put_into_meta(scene, strip), 14, 40)
    return strip


def inside_metas_and_trimmed(addon, scene, clips):
    strip = trimmed(addon, scene, clips)
    inner = put_into_meta(scene, strip)
    addon.compat.set_span(inner, 18, 30)
    addon.compat.set_span(put_into_meta(scene, inner), 12, 29)
    return strip


PLAIN = [plain, trimmed, before_frame_zero, trimmed_content, second_half, second_half_cut_hard, pulled_past_its_ends,
         moved, picture_sequence, other_rate_frame_by_frame, inside_meta, inside_metas_and_trimmed]  # fmt: skip
CHANGED = [slowed, hurried, partly_slowed, frozen, eased, reversed_frames, reversed_and_trimmed,
           reversed_and_slowed, reversed_with_trimmed_content, strobed, slowed_pictures,
           rate_adjusted, rate_adjusted_and_slowed]  # fmt: skip


@pytest.mark.parametrize("make", PLAIN)
def test_mapping_is_what_blender_shows(addon, scene, clips, tmp_path, make):
    strip = make(addon, scene, clips)
    timing = addon.compat.strip_timing(scene, strip)
    marked = addon.timeline.mark(timing)
    assert marked.end - marked.start == marked.source_end - marked.source_start > 0 and marked.order == "plain"
    for frame in sorted({marked.start, marked.start + 1, (marked.start + marked.end) // 2, marked.end - 1}):
        assert footage.shown(scene, frame, tmp_path)[0] == addon.timeline.source_frame(timing, frame)
        assert addon.timeline.timeline_frame(timing, addon.timeline.source_frame(timing, frame)) == frame
    assert addon.timeline.source_frame(timing, marked.start) == marked.source_start
    assert addon.timeline.source_frame(timing, marked.end - 1) == marked.source_end - 1
    assert [s.name for s in scene.sequence_editor.strips if "probe" in s.name] == []


@pytest.mark.parametrize("make", CHANGED)
def test_mapping_of_changed_time_is_what_blender_shows(addon, scene, clips, tmp_path, make):
    """Every frame, not a sample: where frames repeat or are skipped, rounding is what goes wrong."""
    strip = make(addon, scene, clips)
    timing = addon.compat.strip_timing(scene, strip)
    marked = addon.timeline.mark(timing)
    assert marked.order != "plain" and marked.end - marked.start > 10
    frames = range(marked.start, marked.end)
    ours = [addon.timeline.source_frame(timing, frame) for frame in frames]
    assert list(ours) == [footage.shown(scene, frame, tmp_path)[0] for frame in frames]
    assert (min(ours), max(ours) + 1) == (marked.source_start, marked.source_end)
    assert [s.name for s in scene.sequence_editor.strips if "probe" in s.name] == []


def test_a_handle_past_the_footage_marks_only_the_footage(addon, scene, clips, tmp_path):
    timing = addon.compat.strip_timing(scene, pulled_past_its_ends(addon, scene, clips))
    marked = addon.timeline.mark(timing)
    assert (marked.start, marked.end, marked.source_start, marked.source_end) == (10, 58, 0, 48)
    # what lies outside is a frame held, as the mapping says by refusing it
    assert footage.shown(scene, 5, tmp_path)[0] == 0
    assert footage.shown(scene, 64, tmp_path)[0] == 47
    for frame in (9, 58):
        with pytest.raises(addon.timeline.RangeError):
            addon.timeline.source_frame(timing, frame)


def test_preview_range_cuts_the_mark(addon, scene, clips):
    timing = addon.compat.strip_timing(scene, plain(addon, scene, clips))
    marked = addon.timeline.mark(timing, (20, 30))
    assert (marked.start, marked.end, marked.source_start, marked.source_end) == (20, 30, 10, 20)
    with pytest.raises(addon.timeline.RangeError, match="lies outside the range"):
        addon.timeline.mark(timing, (200, 300))


def test_still_picture(addon, scene, clips):
    strip = scene.sequence_editor.strips.new_image("still", str(clips.pictures / "frame005.png"), 1, 10)
    addon.compat.set_span(strip, 10, 40)
    marked = addon.timeline.mark(addon.compat.strip_timing(scene, strip))
    assert (marked.start, marked.end, marked.source_start, marked.source_end) == (10, 40, 0, 1)


def colour(addon, scene, clips):
    length = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 30}
    return scene.sequence_editor.strips.new_effect("colour", "COLOR", 1, 10, **length)


def in_a_reversed_meta(addon, scene, clips):
    strip = inside_meta(addon, scene, clips)
    strip.parent_meta().use_reverse_frames = True
    return strip


def effect(addon, scene, kind, *inputs, channel=5):
    """An effect over strips, as long as all of them show, made as each Blender wants it."""
    spans = [addon.compat.span(one) for one in inputs]
    begin, end = max(left for left, _ in spans), min(right for _, right in spans)
    length = {"length": end - begin} if bpy.app.version >= (5, 0, 0) else {"frame_end": end}
    names = dict(zip(("input1", "input2"), inputs, strict=False))
    return scene.sequence_editor.strips.new_effect(kind.lower(), kind, channel, begin, **length, **names)


def under_a_speed_control(addon, scene, clips):
    strip = plain(addon, scene, clips)
    effect(addon, scene, "SPEED", strip)
    return strip


def in_a_meta_under_a_speed_control(addon, scene, clips):
    strip = plain(addon, scene, clips)
    effect(addon, scene, "SPEED", put_into_meta(scene, strip))
    return strip


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (under_a_speed_control, "mute or delete it"),
        (in_a_meta_under_a_speed_control, "mute or delete it"),
        (in_a_reversed_meta, "retimed or reversed"),
        (colour, "choose a movie or image strip"),
    ],
)
def test_what_is_not_supported_is_said_in_one_sentence(addon, scene, clips, make, said):
    timing = addon.compat.strip_timing(scene, make(addon, scene, clips))
    with pytest.raises(addon.timeline.RangeError, match=said) as told:
        addon.timeline.mark(timing)
    assert str(told.value).endswith(".") and "\n" not in str(told.value)


def test_a_face_comes_from_what_the_strip_shows(addon, scene, clips):
    strip = reversed_and_trimmed(addon, scene, clips)
    marked = addon.timeline.mark(addon.compat.strip_timing(scene, strip))
    shown = addon.timeline.material(addon.compat.strip_timing(scene, strip))
    assert shown == (marked.source_start, marked.source_end) and shown[1] - shown[0] == 14


def test_free_channel(addon):
    free = addon.timeline.free_channel
    taken = [(1, 0, 50), (2, 10, 20), (3, 20, 30), (4, 29, 40)]
    assert free(taken, 1, 20, 29, 128) == 2
    assert free(taken, 1, 15, 25, 128) == 4
    assert free(taken, 1, 0, 50, 128) == 5
    with pytest.raises(addon.timeline.RangeError, match="No channel above 1"):
        free(taken, 1, 0, 50, 4)


def test_a_speed_control_that_is_muted_changes_nothing(addon, scene, clips, tmp_path):
    strip = under_a_speed_control(addon, scene, clips)
    speed = scene.sequence_editor.strips["speed"]
    speed.speed_control, speed.speed_factor = "MULTIPLY", 0.5
    assert footage.shown(scene, 20, tmp_path)[0] != 10
    assert addon.timeline.material(addon.compat.strip_timing(scene, strip)) == (0, None)
    speed.mute = True
    assert footage.shown(scene, 20, tmp_path)[0] == 10
    marked = addon.timeline.mark(addon.compat.strip_timing(scene, strip))
    assert (marked.source_start, marked.source_end) == (0, 48)

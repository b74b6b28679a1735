"""Names that more than one file of the add-on has to agree on."""

ROOT_PACKAGE = __package__.rpartition(".")[0]
"""The extension's own package, e.g. `bl_ext.user_default.understudy`: what preferences are kept under."""

TAB = "Understudy"
"""The tab in the sequencer's sidebar."""

STRIP_ID = "understudy_id"
"""Custom property by which a source strip is found again after it was renamed or moved."""

SOURCE_HIDDEN = "understudy_hidden"
"""Custom property of a source strip that is muted, by keyframes, where a recast lies over it (`hidden_sources`)."""

RECAST_ID = "understudy_recast"
"""Custom property of a placed strip: its own id, a space, and the name that the strip had when it got it."""

FIT_PREFIX = "understudy_fit_"
"""What a recast strip's own fit is called by, one property for each setting (`strip_fit`)."""

STRIP_RECORD = "understudy"
"""Custom property of a placed strip: what made it (a group of plain values, see `placing`)."""

VOICE_RECORD = "understudy_voice"
"""The same of a placed sound strip (a group of plain values, see `voice_placing`)."""

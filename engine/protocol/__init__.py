"""What the add-on and the engine say to each other: one schema, stdlib only.

Every message is JSON. Specs go in, `Job` and `Event` come out; unknown fields are ignored
on reading, so that sides whose `PROTOCOL` major numbers agree understand one another.
Paths are absolute strings; frames are source frames counted from 0 in the order shown;
ranges are half-open, `[start, end)`.
"""

from __future__ import annotations

from .consent import Basis, ConsentRecord, ConsentSpec, CredentialSpec, ForgetSpec, ReportSpec, Subject, consent_file
from .conversion import (
    REGIONS,
    BlendMethod,
    ColourMethod,
    ConvertSettings,
    ConvertSpec,
    Curves,
    OutputFormat,
    PreviewResult,
    PreviewSpec,
    Swap,
    View,
)
from .engine_info import EngineInfo, RemoteInfo
from .footage import Finding, FindingKind, FootageReport
from .jobs import FINAL_STATES, SPECS, Event, EventKind, Job, JobKind, JobSpec, JobState
from .json_io import from_json, parse_json, to_json
from .paths import address_file, check_path, check_paths, home, is_open_home, make_home, project_of
from .review import Cause, Doubtful, ReviewSpec
from .scans import PITCH_EDGES, YAW_EDGES, Clip, FaceBox, PeopleEdit, PeopleSpec, PersonSummary, ScanSpec, ScanSummary
from .settings import Limits, Setting, check_limits, limits_of, settings_of
from .training import Identity, Material, Network, Preset, TrainSettings, TrainSpec, Verdict
from .voice import Excitation, SoundClip, VoiceSettings, VoiceSpec, VoiceTrainSpec

PROTOCOL = "1.4"

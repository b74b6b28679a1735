"""Settings, checked before anything is done."""

from __future__ import annotations

from .errors import DataError
from .protocol import ConvertSettings, TrainSpec, VoiceSettings, VoiceTrainSpec, check_limits


def check_settings(settings: ConvertSettings | VoiceSettings | TrainSpec | VoiceTrainSpec) -> None:
    """Raise DataError with a sentence that names the first setting that cannot be used."""
    try:
        check_limits(settings)
    except ValueError as error:
        raise DataError(str(error)) from None
    if not isinstance(settings, ConvertSettings | VoiceSettings) or settings.mark or settings.mark_reason.strip():
        return
    raise DataError("The mark may be left out only for a reason. Say why in its reason, or leave it on.")

"""Every rule of the four pages of the specification, with its test or the issue that brings it.

`tests/architecture/test_requirements.py` holds this list against the marks of the tests.
"""

from surface.requirements.muse import MUSE
from surface.requirements.muse_settings import MUSE_SETTINGS
from surface.requirements.operations import OPERATIONS
from surface.requirements.requirement import Requirement
from surface.requirements.v1_chat import V1_CHAT
from surface.requirements.v1_common import V1_COMMON
from surface.requirements.v1_rest import V1_REST
from surface.requirements.ws import WS

REQUIREMENTS: tuple[Requirement, ...] = (
    *V1_COMMON,
    *V1_CHAT,
    *V1_REST,
    *MUSE,
    *MUSE_SETTINGS,
    *OPERATIONS,
    *WS,
)

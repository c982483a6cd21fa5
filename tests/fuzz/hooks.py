"""What schemathesis sends as a picture where it means to send a valid one. Loaded by it (SCHEMATHESIS_HOOKS)."""

import schemathesis
from hypothesis import strategies

from models.images import FORMATS
from tests.hostile.pictures import VALID

FILES = {"file", "from", "to"}
"""Fields of forms that are pictures."""

PICTURES = strategies.sampled_from(list(VALID.values()))

schemathesis.openapi.format("binary", PICTURES)
for form in FORMATS.values():
    schemathesis.openapi.media_type(form.media_type, PICTURES)


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """In a form all is text or a file: what should be of another type can't be sent as such, and so not be refused."""
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    return all(isinstance(value, str | bytes) for name, value in case.body.items() if name not in FILES)

"""What schemathesis sends as a picture where it means to send a valid one. Loaded by it (SCHEMATHESIS_HOOKS)."""

import schemathesis
from hypothesis import strategies

from models.images import FORMATS
from tests.hostile.pictures import VALID

PICTURES = strategies.sampled_from(list(VALID.values()))

schemathesis.openapi.format("binary", PICTURES)
for form in FORMATS.values():
    schemathesis.openapi.media_type(form.media_type, PICTURES)

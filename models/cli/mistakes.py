"""What a user can do something about, and how it is told."""

from models.catalog import UnknownModel
from models.checkpoints import CheckpointError
from models.data import DataError
from models.images import PictureError
from models.sessions import lacks_memory

MISTAKES = (CheckpointError, DataError, PictureError, UnknownModel, ValueError, OSError, ArithmeticError)
"""What a user can do something about, as about memory that is lacking; told in a sentence. Anything else is our own
mistake, and shows its trace."""


def is_mistake(error: Exception) -> bool:
    return isinstance(error, MISTAKES) or lacks_memory(error)


def told(error: BaseException) -> str:
    """What went wrong, in a sentence: of the system's errors, without their number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__

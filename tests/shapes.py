"""The checker that shapes and types are checked with while the tests run; a whole number is a fine float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))

"""Asking and answering: the HTTP service and the `denoir` command. Stands on `models`."""

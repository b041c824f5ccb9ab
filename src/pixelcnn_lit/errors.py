"""The one kind of error that a user can cause, and what the commands do with all the others."""


class UserError(Exception):
    """A wrong value, key or file: one line that says what is wrong, which key or file, and what would be right."""

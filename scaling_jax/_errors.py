"""The library's own refusals, told apart from the mistakes of others."""


class Refusal(ValueError):  # noqa: N818  # a refusal is no error of the library's
    """A question that has no answer, or a word that is not understood: said in a sentence.

    It is a ValueError, so that `except ValueError` keeps working; code that goes on after
    one, as `holdout` does, catches only these, and a bug stays a bug.
    """

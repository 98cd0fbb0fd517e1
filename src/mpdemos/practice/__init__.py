"""What a learner does: worker cells, exercises that are checked, questions to answer first, progress.

``cells``     the magic ``%%worker``        ``check``     runs an answer in processes of its own, with a limit
``exercise``  what an exercise is           ``examiner``  that process: the checker and the learner's worker
``lessons``   exercises and questions       ``verdict``   what the learner is told
``answers``   one solution for each         ``progress``  what is done, in the user's own data folder
``trial``     what a checker works with     ``predict``   questions
"""

from .check import check, hint, solution
from .predict import predict
from .progress import progress

__all__ = ["check", "hint", "predict", "progress", "solution"]

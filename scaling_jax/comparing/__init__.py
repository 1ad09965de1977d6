"""Compare: which family do the runs follow, does any, and what if none does."""

from scaling_jax.comparing.comparer import FAMILIES as FAMILIES
from scaling_jax.comparing.comparer import compare as compare
from scaling_jax.comparing.misfit import Misfit as Misfit
from scaling_jax.comparing.misfit import lack_of_fit as lack_of_fit
from scaling_jax.comparing.predicting import Prediction as Prediction
from scaling_jax.comparing.predicting import predict as predict
from scaling_jax.comparing.records import Comparison as Comparison
from scaling_jax.comparing.records import Member as Member

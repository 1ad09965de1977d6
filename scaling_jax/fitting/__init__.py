"""Fit: the law behind real training runs, found surely, fast, and with honest error bars."""

from scaling_jax.fitting.extrapolation import Extrapolation as Extrapolation
from scaling_jax.fitting.extrapolation import extrapolation as extrapolation
from scaling_jax.fitting.fitter import fit as fit
from scaling_jax.fitting.holdout import HeldOut as HeldOut
from scaling_jax.fitting.holdout import holdout as holdout
from scaling_jax.fitting.profiles import Profile as Profile
from scaling_jax.fitting.profiles import profile as profile
from scaling_jax.fitting.records import Fit as Fit
from scaling_jax.fitting.sensitivity import influence as influence
from scaling_jax.fitting.sensitivity import refit as refit

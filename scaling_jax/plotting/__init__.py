"""Pictures of results; matplotlib is imported when one is drawn.

Every function takes records and, optionally, the Axes to draw into, and returns the Axes.
"""

from scaling_jax.plotting import paper as paper
from scaling_jax.plotting.comparisons import comparison as comparison
from scaling_jax.plotting.fits import curves as curves
from scaling_jax.plotting.fits import fit_report as fit_report
from scaling_jax.plotting.fits import predicted as predicted
from scaling_jax.plotting.fits import profile as profile
from scaling_jax.plotting.fits import residuals as residuals
from scaling_jax.plotting.plans import all_scenarios as all_scenarios
from scaling_jax.plotting.plans import iso_loss as iso_loss
from scaling_jax.plotting.plans import scenarios as scenarios
from scaling_jax.plotting.style import save as save
from scaling_jax.plotting.style import svg as svg

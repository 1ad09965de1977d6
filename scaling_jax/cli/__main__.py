"""`python -m scaling_jax.cli`."""

import sys

from scaling_jax.cli import main

sys.exit(main())

"""What serving costs by physics: a step's roofline, the best operating point, calibration."""

from scaling_jax.serving.calibrate import Calibration as Calibration
from scaling_jax.serving.calibrate import calibrate as calibrate
from scaling_jax.serving.calibrate import held_out as held_out
from scaling_jax.serving.cost import Pretraining as Pretraining
from scaling_jax.serving.cost import Served as Served
from scaling_jax.serving.cost import pretraining as pretraining
from scaling_jax.serving.efficiency import IDEAL as IDEAL
from scaling_jax.serving.efficiency import Efficiency as Efficiency
from scaling_jax.serving.measured import Measurements as Measurements
from scaling_jax.serving.measured import measurements as measurements
from scaling_jax.serving.measured import read_measured as read_measured
from scaling_jax.serving.operating import operate as operate
from scaling_jax.serving.records import Bound as Bound
from scaling_jax.serving.records import Operation as Operation
from scaling_jax.serving.records import Request as Request
from scaling_jax.serving.records import ServingError as ServingError
from scaling_jax.serving.roofline import Step as Step
from scaling_jax.serving.roofline import step_of as step_of
from scaling_jax.serving.servers import Draft as Draft
from scaling_jax.serving.servers import Servers as Servers
from scaling_jax.serving.sizes import LLAMA as LLAMA
from scaling_jax.serving.sizes import PAPER as PAPER
from scaling_jax.serving.sizes import Proportions as Proportions
from scaling_jax.serving.work import Load as Load
from scaling_jax.serving.work import Work as Work
from scaling_jax.serving.work import work_of as work_of

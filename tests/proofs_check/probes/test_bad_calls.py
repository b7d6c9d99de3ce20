"""What cannot be asked is refused in one sentence, and a model comes back as it was, after an error too."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from lineardyn.errors import ArgumentError, ComputationError, LineardynError, Status
from proofs_check.probes import (
    bottleneck_report,
    compare_with_theory,
    effective_singular_values,
    filter_spectra,
    frequency_sensitivity,
    track,
)
from tests.proofs_check.probes.models import conv, images_of, nn, relu_net, torch

pytestmark = pytest.mark.torch

LABELS = np.array([0, 1, 0, 1])
PROBES = {
    "frequency_sensitivity": frequency_sensitivity,
    "effective_singular_values": lambda model, images, **k: effective_singular_values(model, images, LABELS, **k),
    "bottleneck_report": bottleneck_report,
    "compare_with_theory": lambda model, images, **k: compare_with_theory(model, images, LABELS, 0.1, **k),
}
every_probe = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)


@pytest.fixture(autouse=True)
def _one_thread():
    pytest.importorskip("torch").set_num_threads(1)


def good():
    return relu_net((1, 2), (4, 4), 2), images_of(4, 1, 4, 4)


def with_norm():
    torch.manual_seed(0)
    return nn.Sequential(
        conv(1, 2, 3), nn.BatchNorm2d(2, dtype=torch.float64), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(32, 2, dtype=torch.float64),
    )  # fmt: skip


@every_probe
def test_a_model_in_training_mode_is_asked_in_evaluation_mode_and_set_back(probe):
    model, images = with_norm(), images_of(4, 1, 4, 4)
    model[3].eval()
    modes = [part.training for part in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.warns(UserWarning, match=r"training mode, in which BatchNorm2d compute.*model.eval\(\)") as caught:
        found = probe(model, images)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    again = probe(model.eval(), images)  # which warns of nothing
    for a, b in zip(_numbers(found), _numbers(again), strict=True):
        assert np.array_equal(a, b)


def _numbers(found):
    if isinstance(found, np.ndarray):
        return [found]
    return [v for v in vars(found).values() if isinstance(v, float | np.ndarray)]


@every_probe
def test_the_mode_is_set_back_after_an_error(probe):
    model = with_norm()
    model[1].eval()
    model[3].eval()
    with pytest.raises(ArgumentError, match="which the model does not take"):
        probe(model, images_of(4, 1, 5, 4))
    assert [part.training for part in model.modules()] == [True, True, False, True, False, True, True]
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in model.modules())


BAD_IMAGES = [
    (images_of(4, 2, 4, 4), r"images have shape \(C, H, W\) = \(2, 4, 4\), which the model does not take"),
    (images_of(4, 1, 5, 4), r"\(1, 5, 4\), which the model does not take"),
    (images_of(4, 4, 4), r"images has shape \(4, 4, 4\), expected \(N, C, H, W\); add the channel axis"),
    (images_of(4, 8, 8, 1), "channels-last"),
    (np.zeros((0, 1, 4, 4)), "expected at least one image"),
    (np.full((4, 1, 4, 4), np.nan), "images holds nan"),
    (np.where(np.arange(64).reshape(4, 1, 4, 4) == 63, np.inf, 0.0), r"images holds inf at index \(3, 0, 3, 3\)"),
    (np.zeros((4, 1, 4, 4), dtype=complex), "complex128, expected real numbers"),
    ([[1.0], [1.0, 2.0]], "expected numbers of one regular shape"),
    ("pictures", "expected real numbers"),
]


@every_probe
@pytest.mark.parametrize(("images", "said"), BAD_IMAGES, ids=[said[-30:] for _, said in BAD_IMAGES])
def test_images_that_the_model_cannot_be_asked_about(probe, images, said):
    with pytest.raises(ArgumentError, match=said):
        probe(good()[0], images)


@every_probe
def test_bytes_are_refused(probe):
    with pytest.raises(ArgumentError, match=r"integers up to 255.*images / 255\.0"):
        probe(good()[0], np.full((4, 1, 4, 4), 255, dtype=np.uint8))


def test_lists_of_tensors_of_several_shapes():
    pieces = [torch.zeros(1, 4, 4), torch.zeros(1, 4, 5)]
    with pytest.raises(ArgumentError, match="several shapes"):
        frequency_sensitivity(good()[0], pieces)


def test_bits_are_images():
    """0 and 1 are no bytes: a drawing."""
    model, images = good()
    bits = images > 0
    wanted = frequency_sensitivity(model, bits.astype(float)).mean
    assert np.array_equal(frequency_sensitivity(model, bits).mean, wanted)
    assert np.array_equal(frequency_sensitivity(model, bits.astype(np.uint8)).mean, wanted)


class Returning(nn.Module if nn else object):
    """Makes something else of a model's outputs."""

    def __init__(self, what):
        super().__init__()
        self.model, self.what = good()[0], what

    def forward(self, x):
        return self.what(self.model(x))


BAD_MODELS = [
    (lambda: "model", "model is 'model', expected a torch.nn.Module"),
    (lambda: Returning(lambda y: y.sum()), "expected a tensor with one row for each"),
    (lambda: Returning(lambda y: y[:0]), "expected a tensor with one row for each"),
    (lambda: Returning(lambda y: (y, y)), "expected a tensor with one row for each"),
    (lambda: Returning(lambda y: y.argmax(1)), "returns torch.int64, expected floating-point numbers"),
    (lambda: Returning(lambda y: y / 0.0), "infinite or NaN"),
    (lambda: _cast(nn.Conv2d, torch.int8), "'0.weight' is of torch.int8, expected floating-point numbers"),
    (lambda: _cast(nn.Linear, torch.float32), "mixes torch.float32 and torch.float64, expected one type"),
    (lambda: good()[0].to("meta"), "'0.weight' is on the device 'meta' and has no numbers"),
    (lambda: nn.Sequential(conv(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)), "keeps no running statistics"),
]


def _cast(kind, dtype):
    model = good()[0]
    for part in model:
        if isinstance(part, kind):
            part.weight = nn.Parameter(part.weight.detach().to(dtype), requires_grad=False)
    return model


@every_probe
@pytest.mark.parametrize(("make", "said"), BAD_MODELS, ids=[said[-30:] for _, said in BAD_MODELS])
def test_models_that_cannot_be_asked(probe, make, said):
    with pytest.raises(ArgumentError, match=said):
        probe(make(), images_of(4, 1, 4, 4))


@pytest.mark.parametrize("make", [lambda: Returning(lambda y: y.detach()), lambda: Returning(_without_graph)])
def test_a_model_without_gradients_is_no_model_that_sees_nothing(make):
    with pytest.raises(ArgumentError, match=r"carry no gradient.*quantised, or its forward pass"):
        frequency_sensitivity(make(), images_of(4, 1, 4, 4))


def _without_graph(y):
    with torch.no_grad():
        return y * 1.0


def test_weights_that_are_not_finite():
    model, images = good()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ArgumentError, match="weight of the model's '0' holds nan"):
        filter_spectra(model)
    with pytest.raises(ArgumentError, match="its weights have diverged"):
        frequency_sensitivity(model, images)


def test_models_without_filters():
    dense = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ArgumentError, match="model has no Conv2d"):
        filter_spectra(dense)
    with pytest.raises(ArgumentError, match=r"model is 3, expected a torch\.nn\.Module"):
        filter_spectra(3)
    with pytest.raises(ArgumentError, match="on the device 'meta'"):
        filter_spectra(good()[0].to("meta"))
    with pytest.raises(ArgumentError, match="image_shape is"):
        filter_spectra(good()[0], image_shape=(4, 4))


@every_probe
def test_devices(probe):
    model, images = good()
    assert probe(model, images, device="cpu") is not None
    assert probe(model, images, device=torch.device("cpu", 0)) is not None
    with pytest.raises(ArgumentError, match=r"device is 'meta' but the model is on 'cpu'.*model\.to\('meta'\)"):
        probe(model, images, device="meta")
    with pytest.raises(ArgumentError, match="device is 'gpu', expected one of PyTorch's"):
        probe(model, images, device="gpu")


@every_probe
@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
def test_batch_sizes(probe, bad):
    with pytest.raises(ArgumentError, match="batch_size is"):
        probe(*good(), batch_size=bad)


def test_choices():
    with pytest.raises(ArgumentError, match="basis is 'dff', expected one of 'dft', 'pixel': did you mean 'dft'"):
        frequency_sensitivity(*good(), basis="dff")
    with pytest.raises(ArgumentError, match="reduce is 'mean'"):
        frequency_sensitivity(*good(), reduce="mean")


class Greedy(nn.Module if nn else object):
    """Has room for so many images, less than for a batch."""

    def __init__(self, room, error):
        super().__init__()
        self.model, self.room, self.error = good()[0], room, error

    def forward(self, x):
        if len(x) > self.room:
            raise self.error
        return self.model(x)


OUT_OF_MEMORY = [
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError("Unable to allocate 8 GiB"),
]


@every_probe
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu", "numpy"])
def test_out_of_memory_says_which_batch_to_try(probe, error):
    with pytest.raises(ComputationError, match="not enough memory on cpu for batch_size=4: try batch_size=2") as caught:
        probe(Greedy(2, error), images_of(4, 1, 4, 4))  # four images are the whole batch, whatever was allowed
    assert caught.value.status is Status.OUT_OF_MEMORY
    assert probe(Greedy(2, error), images_of(4, 1, 4, 4), batch_size=2) is not None
    with pytest.raises(ComputationError, match="too large for one image"):
        probe(Greedy(0, error), images_of(4, 1, 4, 4), batch_size=1)


def test_other_errors_of_a_model_are_its_own():
    model = Greedy(1, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match=r"^something else$"):
        frequency_sensitivity(model, images_of(4, 1, 4, 4))


def test_progress_is_shown_on_demand(capsys):
    frequency_sensitivity(*good(), progress=True)
    assert "sensitivity" in capsys.readouterr().err
    frequency_sensitivity(*good())
    assert capsys.readouterr().err == ""


CALLS = [
    lambda: frequency_sensitivity(None, np.zeros((1, 1, 2, 2))),
    lambda: filter_spectra(None),
    lambda: bottleneck_report(None, np.zeros((1, 1, 2, 2))),
    lambda: effective_singular_values(None, np.ones((2, 1, 2, 2)), [0, 1]),
    lambda: compare_with_theory(None, np.ones((2, 1, 2, 2)), [0, 1], 0.1),
    lambda: track(None, np.ones((2, 1, 2, 2)), [0, 1], learning_rate=0.1),
]


@pytest.mark.parametrize("call", CALLS)
def test_without_pytorch_the_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LineardynError, match=r"PyTorch is not installed.*pip install 'lineardyn\[torch\]'"):
        call()


def test_numpy_warns_of_nothing():
    """Small images of one pixel, one image, one output."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = relu_net((1, 1), (1, 1), 1)
        image = np.ones((1, 1, 1, 1))
        frequency_sensitivity(model, image)
        bottleneck_report(model, image).table()
        effective_singular_values(model, image, np.ones((1, 1)))

"""The training script's network and targets; needs the extra "train"."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from harness.model.ssd_resnet34 import network
from harness.model.ssd_resnet34.heads import OUTPUTS
from harness.model.ssd_resnet34.model import MODEL
from harness.model.ssd_resnet34.priors import prior_boxes
from harness.model.ssd_resnet34.weights import trained_weights

torch = pytest.importorskip("torch", reason="the extra `train` is not installed: no torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from training import loops, scenes  # noqa: E402 - after the path is set
from training.network import Network  # noqa: E402


def test_the_torch_network_is_the_onnx_network() -> None:
    weights = trained_weights()
    net = Network(normalised=False)
    net.load(weights)
    image = np.random.default_rng(1).normal(0, 1, (1, 3, 1200, 1200)).astype(np.float32)
    with torch.no_grad():
        logits, offsets = net.heads(net.trunk(torch.from_numpy(image)))
    session = onnxruntime.InferenceSession(
        network.build(weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, {"image": image})
    half = len(OUTPUTS) // 2
    for mine, exact in ((logits, outputs[:half]), (offsets, outputs[half:])):
        rows = mine.shape[1]
        expected = np.concatenate([it.reshape(1, rows, -1) for it in exact], axis=2)
        np.testing.assert_allclose(mine.numpy(), expected, atol=2e-3 * np.abs(expected).max())
    for name, array in net.export().items():
        np.testing.assert_allclose(array, weights[name], atol=1e-6, err_msg=name)


def test_batch_normalisation_is_folded_into_what_is_exported() -> None:
    torch.manual_seed(1)
    net = Network(normalised=True)
    for norm in net.norms.values():
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 2)
    folded = Network(normalised=False)
    folded.load(net.export())
    crop = torch.randn(1, 3, 240, 240)
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(folded.trunk(crop), net.trunk(crop), atol=1e-3, rtol=1e-3)


def test_targets_that_are_met_decode_to_the_boxes() -> None:
    pixels, label, target = next(iter(scenes.Scenes(3, crops=False)))
    assert (pixels.shape, pixels.dtype) == ((3, 1200, 1200), torch.uint8)
    at, outputs = 0, []
    logits = np.full((81, len(label)), -20, np.float32)
    logits[label.numpy(), np.arange(len(label))] = 20
    for spec in OUTPUTS[:6]:
        anchors, grid = spec.shape[1] // 81, spec.shape[2]
        size = anchors * grid * grid
        outputs.append(logits[:, at : at + size].reshape(1, -1, grid, grid))
        outputs.append(target.numpy()[at : at + size].T.reshape(1, -1, grid, grid))
        at += size
    found = MODEL.decoder("native").decode([np.ascontiguousarray(it) for it in outputs[::2] + outputs[1::2]])
    centre = np.array(prior_boxes())[label.numpy() > 0, :2]
    assert len(found) >= len(set(label[label > 0].tolist()))
    assert set(found.labels.tolist()) == set(label[label > 0].tolist())
    inside = (found.boxes[:, :2] < centre[:, None]) & (centre[:, None] < found.boxes[:, 2:])
    assert inside.all(2).any(1).mean() > 0.9  # a prior lies on the object it was given


def test_the_priors_of_a_crop_are_the_first_of_the_whole_image_in_pixels() -> None:
    priors = scenes.crop_priors()
    assert priors.shape == (4 * 10 * 10 + 6 * 5 * 5, 4)
    np.testing.assert_allclose(priors[0], [12, 12, 84, 84], atol=1e-3)
    np.testing.assert_allclose(priors[400], [24, 24, 180, 180], atol=1e-3)


def test_perfect_outputs_lose_nothing_and_others_do() -> None:
    label = torch.tensor([[0, 3, 0, 0]])
    target = torch.randn(1, 4, 4)
    logits = torch.nn.functional.one_hot(label, 81).transpose(1, 2) * 40.0
    entropy, apart = loops.losses(logits, target.transpose(1, 2), label, target)
    assert entropy.item() == pytest.approx(0, abs=1e-6)
    assert apart.item() == 0
    wrong = loops.losses(-logits, target.transpose(1, 2) + 1, label, target)
    assert wrong[0].item() > 40
    assert wrong[1].item() == pytest.approx(4 * (1 - 0.1))  # smooth L1 with beta 0.2, the one positive

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
from training.network import Network, Renormalisation  # noqa: E402


def test_the_torch_network_is_the_onnx_network() -> None:
    weights = trained_weights()
    net = Network(frozen=3)
    net.load(weights)
    net.eval()
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
        expected = np.concatenate([output.reshape(1, rows, -1) for output in exact], axis=2)
        np.testing.assert_allclose(mine.numpy(), expected, atol=2e-3 * np.abs(expected).max())
    for name, array in net.export().items():
        np.testing.assert_allclose(array, weights[name], atol=1e-6, err_msg=name)


def test_batch_normalisation_is_folded_into_what_is_exported() -> None:
    torch.manual_seed(1)
    net = Network(frozen=0)
    for norm in net.norms.values():
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 2)
    folded = Network(frozen=0)
    folded.load(net.export())
    crop = torch.randn(1, 3, 240, 240)
    net.eval()
    folded.eval()
    with torch.no_grad():
        torch.testing.assert_close(folded.trunk(crop), net.trunk(crop), atol=1e-3, rtol=1e-3)


def test_statistics_of_pixels_change_nothing_but_the_way_to_train() -> None:
    torch.manual_seed(1)
    net = Network(frozen=3)
    net.load(trained_weights())
    net.eval()
    scene, other = torch.randn(2, 1, 3, 480, 480)
    with torch.no_grad():
        before = net.trunk(other)
        net.normalise_as(scene)
        net.eval()
        torch.testing.assert_close(net.trunk(other), before, atol=1e-3, rtol=1e-3)
    norm = net.norms["stage3_5_second"]
    assert norm.running_var.std() > 0
    frozen = {name.split(".")[1] for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert {name[:6] for name in frozen} == {"stem", "stage1"}


def test_normalisation_in_training_gives_what_its_running_statistics_give() -> None:
    torch.manual_seed(1)
    norm = Renormalisation(4, momentum=0.05)
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(2)
    x = torch.randn(2, 4, 64, 64) * 1.2 + 0.2
    expected = norm.eval()(x)
    torch.testing.assert_close(norm.train()(x), expected, atol=0.1, rtol=0)  # from a quarter of the values
    assert 0.4 < norm.running_mean[0] < 0.5
    assert 1.9 < norm.running_var[0] < 2


def test_targets_that_are_met_decode_to_the_boxes() -> None:
    pixels, boxes, labels = next(iter(scenes.Scenes(3)))
    label, target = scenes.match(scenes.priors_of(crops=False), boxes, labels)
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
    found = MODEL.decoder("native").decode([np.ascontiguousarray(output) for output in outputs[::2] + outputs[1::2]])
    centre = np.array(prior_boxes())[label.numpy() > 0, :2]
    assert len(found) >= len(set(label[label > 0].tolist()))
    assert set(found.labels.tolist()) == set(label[label > 0].tolist())
    inside: np.ndarray = (found.boxes[:, :2] < centre[:, None]) & (centre[:, None] < found.boxes[:, 2:])
    assert np.any(np.all(inside, axis=2), axis=1).mean() > 0.9  # a prior lies on the object it was given


def test_the_priors_of_a_crop_are_the_first_of_the_whole_image_in_pixels() -> None:
    priors = scenes.crop_priors()
    assert priors.shape == (4 * 20 * 20 + 6 * 10 * 10, 4)
    np.testing.assert_allclose(priors[0], [12, 12, 84, 84], atol=1e-3)
    np.testing.assert_allclose(priors[1600], [24, 24, 180, 180], atol=1e-3)


def test_perfect_outputs_lose_nothing_and_others_do() -> None:
    label = torch.tensor([[0, 3, 0, 0]])
    target = torch.randn(1, 4, 4)
    logits = torch.nn.functional.one_hot(label, 81).transpose(1, 2) * 40.0
    class_loss, box_loss = loops.losses(logits, target.transpose(1, 2), label, target)
    assert class_loss.item() == pytest.approx(0, abs=1e-6)
    assert box_loss.item() == 0
    wrong = loops.losses(-logits, target.transpose(1, 2) + 1, label, target)
    assert wrong[0].item() > 40
    assert wrong[1].item() == pytest.approx(4 * (1 - 0.1))  # smooth L1 with beta 0.2, the one positive

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interop.official_modules import replace_a_field
from tests.interop.torch7_writer import Object, write_torch7

from limner.errors import LimnerError
from limner.interop.char_cnn_rnn import import_char_cnn_rnn
from limner.text.encoders import build_text_encoder

GOLDEN = Path(__file__).parents[1] / "golden" / "char_cnn_rnn"
CASES = {  # name: architecture, vocabulary, poolings after the convolutions, average
    "enc_hybrid_rnn8": ("char-cnn-rnn", 70, [(3, 3), (3, 3), (3, 2)], True),
    "enc_hybridlong_rnn18": ("char-cnn-rnn-long", 70, [(3, 3), (3, 3), None], True),
    "enc_hybridlong_gru18_avg": ("char-cnn-gru", 70, [(3, 3), (3, 3), None], True),
    "enc_hybridlong_gru18_last": ("char-cnn-gru", 70, [(3, 3), (3, 3), None], False),
    "enc_word_hybrid_rnn8": ("word-cnn-rnn", 23, [None, (3, 3), None], True),
}
PRESENT = [name for name in CASES if (GOLDEN / f"{name}.npz").exists()]


def chain(*modules):
    return Object("nn.Sequential", modules=list(modules))


def linear(golden, name):
    return Object("nn.Linear", weight=golden[f"w/{name}_w"], bias=golden[f"w/{name}_b"])


def trunk(golden, pools):
    modules = []
    for number, pool in enumerate(pools, 1):
        weight = golden[f"w/conv{number}_w"]
        out, inputs, kernel = weight.shape
        flat = np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(out, -1)
        convolution = {
            "weight": flat,
            "bias": golden[f"w/conv{number}_b"],
            "kW": kernel,
            "dW": 1,
            "inputFrameSize": inputs,
        }
        modules += [Object("nn.TemporalConvolution", **convolution), Object("nn.Threshold", threshold=1e-6, val=0)]
        modules += [Object("nn.TemporalMaxPooling", kW=pool[0], dW=pool[1])] if pool else []
    return chain(*modules)


def relu_steps(golden, steps):
    """The unrolled graph: first step without a map of the state; later steps repeat the same maps."""
    i2h, h2h = linear(golden, "i2h"), linear(golden, "h2h")
    modules = [Object("nn.Identity"), chain(i2h), Object("nn.ReLU"), Object("nn.Identity")]
    for _ in range(steps):
        modules += [chain(i2h), chain(h2h), Object("nn.CAddTable"), Object("nn.ReLU")]
    return Object("nn.gModule", modules=modules)


def gated_steps(golden, steps):
    names = ("i2h", "i2h_update", "h2h_update", "i2h_reset", "h2h_reset", "h2h")
    maps = {name: linear(golden, name) for name in names}
    modules = [Object("nn.Identity"), chain(maps["i2h"]), Object("nn.Tanh"), Object("nn.Identity")]
    for _ in range(steps):
        for gate in ("update", "reset"):
            modules += [chain(maps[f"i2h_{gate}"]), chain(maps[f"h2h_{gate}"]), Object("nn.CAddTable")]
            modules += [Object("nn.Sigmoid"), Object("nn.Identity")]
        # after the reset gate: its product with the state, then the candidate
        modules[-1:] = [Object("nn.CMulTable"), chain(maps["h2h"]), chain(maps["i2h"]), Object("nn.Tanh")]
    return Object("nn.gModule", modules=modules)


def checkpoint(name, *, bare=False):
    golden = np.load(GOLDEN / f"{name}.npz")
    _, _, pools, average = CASES[name]
    recurrence = gated_steps(golden, 3) if "gru" in name else relu_steps(golden, 3)
    parts = [
        Object("nn.Identity"),
        trunk(golden, pools),
        Object("nn.SplitTable"),
        recurrence,
        Object("nn.Dropout", p=0),
    ]
    graph = Object("nn.gModule", modules=[*parts, linear(golden, "emb_proj")])
    table = {"protos": {"enc_doc": graph, "enc_image": Object("nn.Identity")}, "opt": {"avg": int(average)}, "i": 30000}
    return graph if bare else table


@pytest.mark.parametrize("name", PRESENT)
def test_imported_encoders_give_the_official_embeddings(tmp_path, name):
    golden = np.load(GOLDEN / f"{name}.npz")
    architecture, vocabulary, _, average = CASES[name]
    imported = import_char_cnn_rnn(write_torch7(tmp_path / "encoder.t7", checkpoint(name)))
    assert imported.config.architecture == architecture
    assert imported.config.average == average
    assert imported.vocabulary_size == vocabulary
    encoder = build_text_encoder(imported.config, imported.vocabulary_size)
    encoder.load_state_dict(imported.state)
    tokens = torch.from_numpy(golden["in/idx"].astype(np.int64))
    np.testing.assert_allclose(encoder.double()(tokens).detach(), golden["act/emb"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", PRESENT)
def test_a_bare_graph_is_read_and_averages(tmp_path, name):
    imported = import_char_cnn_rnn(write_torch7(tmp_path / "net_T.t7", checkpoint(name, bare=True)))
    assert imported.config.architecture == CASES[name][0]
    assert imported.config.average


def test_that_a_gated_and_a_relu_encoder_are_here():
    assert {"char-cnn-rnn", "char-cnn-gru", "word-cnn-rnn"} <= {CASES[name][0] for name in PRESENT}


def spoilt(change):
    table = checkpoint("enc_hybrid_rnn8")
    change(table["protos"]["enc_doc"].fields["modules"])
    return table


WRONG = {
    "a table": ({"model": 1}, "holds no text encoder"),
    "no convolutions": (spoilt(lambda m: m.__setitem__(1, chain(Object("nn.Identity")))), "no convolutions"),
    "another layer": (spoilt(lambda m: m[1].fields["modules"].append(Object("nn.Tanh"))), r"have no nn\.Tanh"),
    "another pooling": (
        spoilt(lambda m: m[1].fields["modules"][2].fields.update(kW=2)),
        "no known text encoder: convolution 4 pool 2/3",
    ),
    "one map": (spoilt(lambda m: m.__setitem__(3, m[5])), "2 or 6 linear maps and not 1"),
    "no projection": (spoilt(lambda m: m.__setitem__(5, Object("nn.Tanh"))), r"nn\.Tanh where .* map projection"),
    "a short recurrence": (
        spoilt(lambda m: m[3].fields.update(modules=[*m[3].fields["modules"][:2], m[3].fields["modules"][5]])),
        "ends before its map hidden_to_hidden",
    ),
    "an empty projection": (spoilt(lambda m: m.__setitem__(5, chain())), "nothing where .* map projection"),
    "a wider projection": (
        spoilt(lambda m: m[5].fields.update(weight=np.ones((14, 11), "f4"))),
        r"shape \(14, 11\); the other .* \(14, 10\)",
    ),
    "a strange option": ({**checkpoint("enc_hybrid_rnn8"), "opt": {"avg": "yes"}}, "'avg' is a str"),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_files_are_refused_with_the_reason(tmp_path, case):
    tree, reason = WRONG[case]
    with pytest.raises(LimnerError, match=reason):
        import_char_cnn_rnn(write_torch7(tmp_path / "encoder.t7", tree))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_strange_fields_end_in_weights_or_in_our_error(tmp_path, data):
    table = checkpoint("enc_hybrid_rnn8")
    for _ in range(data.draw(st.integers(1, 2))):
        replace_a_field(table["protos"]["enc_doc"], data)
    with contextlib.suppress(LimnerError):
        import_char_cnn_rnn(write_torch7(tmp_path / "strange.t7", table))

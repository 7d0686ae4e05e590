"""Lines that join a layout later go on as if all had been laid out together."""

import pytest
import torch

from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from tests.made_backbones import tiny_backbone


@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_lines_join_in_any_number(tmp_path, family):
    """Short and long notes, one or several rows on each, more own tokens than there was room for."""
    backbone = tiny_backbone(tmp_path, family=family, context=256)
    contexts = [backbone.start + tuple(range(5, 5 + n)) for n in (3, 60, 9, 31, 12)]
    trunks = backbone.states(contexts)
    vectors = torch.randn(1, 40, 32, generator=torch.Generator().manual_seed(0)) * 0.3
    parts = [[0], [1, 1], [2], [4], [3], [3, 3], [0], [1], [4, 0, 0]]
    groups: list[list[Line]] = []
    for n, part in enumerate(parts):
        rows = [Row("a", contexts[i][1:], (7 + i, 8 + n), (2,)) for i in part]
        prompts = PromptVectors(vectors, Placement.suffix, (0,) * len(rows)) if n % 2 else None
        groups.append(backbone.begin(rows, prompts, [trunks[i] for i in part])[1])
    decoding, lines, places = Decoding(groups[0]), list(groups[0]), [0]
    for n in range(1, len(groups) + 2):
        tokens = [3 + (n * b) % 90 for b in range(len(lines))]
        laid = torch.empty(len(lines), dtype=torch.long)
        laid[places] = torch.tensor(tokens)
        given = [Line(line.trunk, decoding.line(at).own) for line, at in zip(lines, places, strict=True)]
        anew = Decoding(given)
        expected = backbone.step(anew, torch.tensor([tokens[i] for i in anew.order]))
        found = backbone.step(decoding, laid)
        for at, i in enumerate(anew.order):
            torch.testing.assert_close(found[places[i]], expected[at], rtol=1e-5, atol=1e-5)
        if n < len(groups):
            places += decoding.add(groups[n])
            lines += groups[n]
    assert sorted(places) == list(range(13)) and len(decoding.bundles) == 7

"""What is told of an answer while it is written is never taken back, and together it is the answer."""

from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from clinprompt.backbones.protocol import Generation
from clinprompt.inference.draft import Draft
from clinprompt.schema.formulated import Piece

texts = st.text(alphabet="ab. é中😀\n", max_size=12)


class WholeAt:
    """A constraint of an answer that is whole after some numbers of tokens."""

    def __init__(self, places):
        self.places, self.written = places, 0
        self.complete, self.ended, self.held = 0, False, True

    def advance(self, token):
        self.written += 1
        if self.written in self.places:
            self.complete = self.written


@settings(max_examples=60)
@given(
    text=texts,
    more=st.lists(st.integers(3, 258), max_size=3),
    stop=st.lists(st.text("ab. é", min_size=1, max_size=3), max_size=2),
    tokens=st.integers(1, 30),
    whole=st.none() | st.sets(st.integers(1, 20)),
    ends=st.booleans(),
)
@example(text="😀", more=[], stop=[], tokens=3, whole=None, ends=True)  # cut inside a character
@example(text="aab", more=[], stop=["ab."], tokens=30, whole=None, ends=True)
def test_told_texts_together_are_the_answer(backbone, text, more, stop, tokens, whole, ends):
    generation = Generation(tokens, stop=tuple(stop))
    draft = Draft(generation, None if whole is None else WholeAt(whole))
    told = ""
    for token in [*backbone.tokens(Piece(text)), *more, backbone.eos]:
        answer = draft.add(backbone, token)
        new = draft.fresh(backbone)
        told += new
        if answer is not None:
            break
        assert not any(one in told for one in stop)
        assert not new.endswith("�")
    assert draft.answer is not None and told == draft.answer.text
    assert draft.fresh(backbone) == ""


def test_text_is_told_as_soon_as_it_is_final(backbone):
    draft, told = Draft(Generation(99, stop=("end.",))), []
    for token in backbone.tokens(Piece("aé en end")):
        draft.add(backbone, token)
        told.append(draft.fresh(backbone))
    assert told == ["a", "", "é", " ", "", "", "en ", "", "", ""]


def test_a_cut_answer_under_a_constraint_tells_whole_items_only(backbone):
    draft, told = Draft(Generation(6), WholeAt({3, 5})), []
    for token in backbone.tokens(Piece("abcdef")):
        draft.add(backbone, token)
        told.append(draft.fresh(backbone))
    assert told == ["", "", "abc", "", "de", ""]
    with patch.object(backbone, "text", side_effect=AssertionError):
        assert draft.answer.text == "abcde" and draft.answer.ids == tuple(backbone.tokens(Piece("abcdef")))

from clinprompt.backbones.heads import new_heads
from clinprompt.prompts.sizes import trainable_numbers


def test_sizes_are_those_of_the_formula():
    P, R, H = 7, 3, 5
    assert trainable_numbers(length=P, rank=R, hidden=H) == {
        "prompt-tuning": P * H,
        "mpt": P * H + R * (P + H),
        "mpt, factors only": R * (P + H),
    }


def test_span_scorers_are_trained_beside_every_prompt():
    plain, headed = (trainable_numbers(length=7, rank=3, hidden=5, heads=h) for h in (None, new_heads(1, 5, 4, 0)))
    scorers = 2 * 5 + 2 + 4 * 2 * 5 + 4 + 4 + 1
    assert headed == {method: count + scorers for method, count in plain.items()}

from clinprompt.prompts.sizes import trainable_numbers


def test_sizes_are_those_of_the_formula():
    P, R, H = 7, 3, 5
    assert trainable_numbers(length=P, rank=R, hidden=H) == {
        "prompt-tuning": P * H,
        "mpt": P * H + R * (P + H),
        "mpt, factors only": R * (P + H),
    }

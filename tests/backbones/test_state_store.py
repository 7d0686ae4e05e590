import stat

import torch

from clinprompt.backbones.state_store import StateStore, content_key


def states(value, size=8):
    return torch.full((size,), float(value))  # 4 bytes each


def test_the_least_recently_used_are_dropped_when_the_budget_is_full():
    store = StateStore(budget=100)
    for i in range(3):
        store.put(str(i), states(i))
    assert store.get("0") is not None  # used just now
    store.put("3", states(3))
    assert store.get("1") is None
    assert [float(store.get(key)[0]) for key in ("0", "2", "3")] == [0, 2, 3]
    assert store.bytes == 96
    store.put("big", states(1, size=100))
    assert store.get("big") is None and store.bytes == 96


def test_a_folder_keeps_states_for_later_stores_within_its_budget_for_the_owner_alone(tmp_path):
    folder = tmp_path / "notes"
    first = StateStore(folder=folder, disk_budget=400)
    first.put("a", states(1))
    assert torch.equal(StateStore(folder=folder).get("a"), states(1))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    for i in range(6):
        first.put(str(i), states(i))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 400
    later = StateStore(folder=folder)
    assert later.get("5") is not None and later.get("a") is None
    assert not list(folder.glob("*.part"))


def test_a_key_depends_on_values_type_shape_and_identity():
    values = torch.arange(4.0)
    tensors = [values, values + 1, values.double(), values.view(2, 2)]
    keys = {content_key(identity, tensor) for tensor in tensors for identity in ("x", "y")}
    assert len(keys) == 8
    assert content_key("x", values.clone()) == content_key("x", values)
    assert content_key("x", torch.arange(8.0)[::2]) == content_key("x", torch.arange(0.0, 8.0, 2))


def test_a_damaged_file_is_no_file(tmp_path):
    StateStore(folder=tmp_path).put("a", states(1))
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert StateStore(folder=tmp_path).get("a") is None
    StateStore(folder=tmp_path).put("a", states(2))
    assert torch.equal(StateStore(folder=tmp_path).get("a"), states(2))

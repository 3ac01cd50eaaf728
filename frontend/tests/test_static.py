"""What production does to the workbench's modules."""

from __future__ import annotations

import re
from pathlib import Path

from django.contrib.staticfiles import finders
from django.core.files.storage import FileSystemStorage

from config.storage import StaticFiles

FOLDER = "frontend/workbench"


def test_modules_import_each_other_by_the_names_of_their_contents(tmp_path: Path) -> None:
    source = FileSystemStorage(Path(str(finders.find(f"{FOLDER}/main.js"))).parents[2])
    names = [f"{FOLDER}/{name}" for name in source.listdir(FOLDER)[1]]
    storage = StaticFiles(location=str(tmp_path), base_url="/static/")
    for name in names:
        storage.save(name, source.open(name))
    assert not [
        error
        for _, _, error in storage.post_process({name: (storage, name) for name in names})
        if isinstance(error, Exception)
    ]
    for name in names:
        text = (tmp_path / storage.stored_name(name)).read_text()
        imported = re.findall(r"""(?:from |import\()["']([^"']+)""", text)
        assert all(re.fullmatch(r"\./\w+\.[0-9a-f]{12}\.js", other) for other in imported)
        assert all((tmp_path / FOLDER / other).exists() for other in imported)
    assert len(names) > 6

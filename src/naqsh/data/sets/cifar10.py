"""CIFAR-10, from its published archives or one of JPEGs."""

from naqsh.data import cache, cifar
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted

_JPEG = "cifar10-jpeg.tar.xz"


def read(wanted: Wanted) -> DataSet:
    """Images that are unpacked once, into the cache."""
    entry = wanted.entry
    path = wanted.file(*(file.name for file in entry.files), _JPEG)
    name = "cifar10 (jpeg)" if path.name == _JPEG else entry.name
    stat = path.stat()

    def build() -> cache.Content:
        images, labels = cifar.read(path, wanted.split, entry.classes, wanted.count)
        return cache.Content((wanted.count, *entry.shape), labels, [images])

    place = cache.key("cifar10", str(path.resolve()), wanted.split)
    stored = cache.pictures(place, cache.key(1, stat.st_size, stat.st_mtime_ns), build)
    whole = DataSet(name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    return brought_to(whole, wanted.size, wanted.channels)

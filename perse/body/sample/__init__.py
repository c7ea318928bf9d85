"""A standing person who does not exist: the test picture, rendered because no library ships one."""

from perse.body.sample.standing import SamplePerson, sample_person

__all__ = ["SamplePerson", "sample_person"]

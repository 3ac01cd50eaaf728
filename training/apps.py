from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "The loop"

    def ready(self) -> None:
        from training import worker  # noqa: F401, PLC0415  connects Celery's signals

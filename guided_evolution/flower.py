"""For Flower: `celery -A guided_evolution.flower flower`, with GUIDED_EVOLUTION_BROKER set; nothing else imports it."""

from __future__ import annotations

from celery import Celery

from guided_evolution.queues import EVALUATE, PROPOSE
from guided_evolution.settings import load_settings

app = Celery("guided-evolution", broker=load_settings().broker)
app.conf.task_queues = None
app.conf.task_default_queue = EVALUATE
app.conf.task_routes = {name: {"queue": name} for name in (PROPOSE, EVALUATE)}

"""Which of the Trainer's arguments change a result.

Keys of trials and descriptions of runs both ask this table. Every argument stands in one of its three rows.
"""

from __future__ import annotations

# They change what is computed. The key of a run has them, and so have its parameters.
CHANGE_RESULTS = (
    "accelerator", "devices", "precision", "max_epochs", "max_steps", "max_time", "val_check_interval",
    "check_val_every_n_epoch", "limit_train_batches", "limit_val_batches", "overfit_batches",
    "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "deterministic", "min_epochs",
    "min_steps", "callbacks",
)  # fmt: skip
# They may change it, in rare settings. A sweep tells trials apart by them too, which costs a training at worst.
MAY_CHANGE_RESULTS = (
    "strategy", "num_nodes", "fast_dev_run", "limit_test_batches", "limit_predict_batches", "num_sanity_val_steps",
    "benchmark", "inference_mode", "use_distributed_sampler", "detect_anomaly", "barebones", "plugins",
    "sync_batchnorm", "reload_dataloaders_every_n_epochs", "model_registry", "enable_autolog_hparams",
)  # fmt: skip
# They only show, keep or describe.
SHOW_RESULTS = (
    "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "log_every_n_steps",
    "default_root_dir", "profiler",
)  # fmt: skip

/* Augmentation and mixing as a training's configuration has them (common/params.def). */
#pragma once

#include "augment_settings.h"
#include "mix.h"

#include "common/params.h"

/* random_resized_crop stands in for random_crop; heavy_aug is trivial_augment, and random_erasing of at least 0.25. */
struct augment_settings augment_settings_from(const struct train_config *cfg);

bool config_mixes(const struct train_config *cfg); /* use_mixup or use_cutmix */
/* mixes_draw() for the n steps of an epoch. */
void config_mixes_draw(const struct train_config *cfg, struct mix *mixes, uint32_t n, int epoch);

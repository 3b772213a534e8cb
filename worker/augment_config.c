#include "augment_config.h"

#define HEAVY_ERASING 0.25

struct augment_settings augment_settings_from(const struct train_config *cfg)
{
	double erasing = cfg->heavy_aug ? MAX(cfg->random_erasing, HEAVY_ERASING) : cfg->random_erasing;
	return (struct augment_settings){
		.size = cfg->image_size,
		.crop = cfg->random_resized_crop ? CROP_RESIZED : cfg->random_crop ? CROP_RANDOM : CROP_CENTER,
		.flip = cfg->random_flip,
		.trivial = cfg->trivial_augment || cfg->heavy_aug,
		.crop_scale = (float)cfg->crop_scale,
		.jitter = {[JITTER_BRIGHTNESS] = (float)cfg->color_jitter_brightness,
			   [JITTER_CONTRAST] = (float)cfg->color_jitter_contrast,
			   [JITTER_SATURATION] = (float)cfg->color_jitter_saturation,
			   [JITTER_HUE] = (float)cfg->color_jitter_hue},
		.erasing = (float)erasing,
		.cutout = cfg->cutout,
	};
}

bool config_mixes(const struct train_config *cfg)
{
	return cfg->use_mixup || cfg->use_cutmix;
}

void config_mixes_draw(const struct train_config *cfg, struct mix *mixes, uint32_t n, int epoch)
{
	struct mix_settings settings = {.mixup = cfg->use_mixup,
					.cutmix = cfg->use_cutmix,
					.mixup_alpha = cfg->mixup_alpha,
					.cutmix_alpha = cfg->cutmix_alpha,
					.probability = cfg->mix_prob};
	mixes_draw(mixes, n, &settings, (uint64_t)cfg->seed, (uint32_t)epoch, cfg->image_size);
}

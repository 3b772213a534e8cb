/* Images from the resident set, or as transform.cu left them, into a batch, per cell: one thread a pixel, blockIdx.y the
 * image. */

/* Channel c of pixel (y, x) of image i of the batch, which is *s: normalised, erased. */
DEVICE float PER_CELL(image_value)(const struct augment_args *a, const struct sample *s, uint32_t i, int c, int y, int x)
{
	uint32_t size = (uint32_t)a->source.settings.size, plane = size * size;
	if (erase_has(&s->erase, y, x))
		return 0;
	uint8_t byte = a->bytes ? a->bytes[(size_t)(3 * i + (uint32_t)c) * plane + (uint32_t)y * size + (uint32_t)x] :
				  cropped_byte(s->pixels + c * a->source.plane_pitch, &s->draw, y, x);
	return normalize_value((float)byte, a->source.mean[c], a->source.std[c]);
}

CELL_KERNEL(augment)
{
	__shared__ struct sample own, partner;
	__shared__ struct mix mix;
	uint32_t i = blockIdx.y, mate = partner_of(&a.source, i);
	if (first_thread()) {
		own = sample_of(&a.source, i);
		mix.kind = MIX_NONE;
		if (a.mixes)
			mix = a.mixes[a.source.state->step];
		if (mix.kind != MIX_NONE)
			partner = sample_of(&a.source, mate);
	}
	__syncthreads();
	uint32_t pixel = blockIdx.x * blockDim.x + threadIdx.x, size = (uint32_t)a.source.settings.size;
	if (pixel >= size * size)
		return;
	int y = (int)(pixel / size), x = (int)(pixel % size);
	struct float8 value = fill8(0);
	UNROLL for (int c = 0; c < 3; c++) {
		value.v[c] = PER_CELL(image_value)(&a, &own, i, c, y, x);
		if (mix.kind != MIX_NONE)
			value.v[c] = mixed_value(&mix, value.v[c], PER_CELL(image_value)(&a, &partner, mate, c, y, x), y, x);
	}
	st8(a.out, (size_t)i * size * size + pixel, value);
	if (pixel > 0)
		return;
	a.out_labels[i] = own.label;
	if (a.mixes) {
		a.out_partners[i] = mix.kind != MIX_NONE ? partner.label : own.label;
		a.out_shares[i] = mix.kind != MIX_NONE ? mix.lambda : 1;
	}
}

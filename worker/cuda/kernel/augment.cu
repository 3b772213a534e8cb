/* Images from the resident set into a batch, per cell: one thread a pixel, blockIdx.y the image.  What later
 * augmentations do to a pixel goes between its value and normalize_value(). */

CELL_KERNEL(augment)
{
	uint32_t pixel = blockIdx.x * blockDim.x + threadIdx.x;
	struct sample s = sample_of(&a.source, blockIdx.y);
	struct float8 value = fill8(0);
	UNROLL for (int c = 0; c < 3; c++)
		value.v[c] = normalize_value(sample_byte(&s, c, (int)(pixel / IMAGE_SIZE), (int)(pixel % IMAGE_SIZE)),
					     a.source.mean[c], a.source.std[c]);
	st8(a.out, (size_t)blockIdx.y * IMAGE_SIZE * IMAGE_SIZE + pixel, value);
	if (pixel == 0)
		a.out_labels[blockIdx.y] = s.label;
}

CELL_KERNEL(resize)
{
	uint32_t pixel = blockIdx.x * blockDim.x + threadIdx.x, pixels = a.size * a.size;
	if (pixel >= pixels)
		return;
	struct sample s = sample_of(&a.source, blockIdx.y);
	struct bilinear y = bilinear_at((int)(pixel / a.size), IMAGE_SIZE, (int)a.size);
	struct bilinear x = bilinear_at((int)(pixel % a.size), IMAGE_SIZE, (int)a.size);
	struct float8 value = fill8(0);
	UNROLL for (int c = 0; c < 3; c++)
		value.v[c] = normalize_value(sample_between(&s, c, y, x), a.source.mean[c], a.source.std[c]);
	st8(a.out, (size_t)blockIdx.y * pixels + pixel, value);
	if (pixel == 0)
		a.out_labels[blockIdx.y] = s.label;
}

/* See class_names.h. */
#include "class_names.h"

static const char *const cifar10[] = {
	"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

static const char *const cifar100[] = {
	"apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
	"boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee",
	"clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant",
	"flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
	"leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
	"oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate",
	"poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark",
	"shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
	"sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip",
	"turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
};

static const char *const fashion_mnist[] = {
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
};

static const char *const mnist[] = {
	"0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
};

static const struct {
	const char *dataset, *const *names;
	int n;
} sets[] = {
	{"cifar10", cifar10, ARRAY_LEN(cifar10)},
	{"cifar100", cifar100, ARRAY_LEN(cifar100)},
	{"fashion-mnist", fashion_mnist, ARRAY_LEN(fashion_mnist)},
	{"mnist", mnist, ARRAY_LEN(mnist)},
};

const char *class_name(const char *dataset, int class)
{
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (str_eq(sets[i].dataset, dataset) && class >= 0 && class < sets[i].n)
			return sets[i].names[class];
	return "?";
}

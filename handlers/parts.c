#include "handlers/parts.h"

const struct platform_part *const platform_parts[] = {NULL};

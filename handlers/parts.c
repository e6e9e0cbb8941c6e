#include "handlers/parts.h"
#include "handlers/runtime.h"

const struct platform_part *const platform_parts[] = {&runtime_part, NULL};

/* Parts started after the foundation, in this order. */
#pragma once
#include "handlers/app.h"

extern const struct platform_part *const platform_parts[]; /* NULL at the end */

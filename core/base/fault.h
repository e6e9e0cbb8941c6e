/* Named fault points for crash tests. Compiled out of release builds (FAULTS_BUILT=0). The variable DOCKFLOW_FAULT holds
 * "name[:nth][=action]" (default: first hit, kill): kill = SIGKILL to ourselves, stop = SIGSTOP, error = FAULT_ERR returns
 * ERR_INTERNAL. The name may end in '*'. */
#pragma once
#include "core/base/err.h"
#ifndef FAULTS_BUILT
#define FAULTS_BUILT 0
#endif
/** True when the armed action for this hit is "error"; does not return when it is "kill". */
bool fault_hit(const char *name);
#if FAULTS_BUILT
#define FAULT(name) ((void)fault_hit(name))
#define FAULT_ERR(name)                                                                                                \
    do {                                                                                                               \
        if (fault_hit(name))                                                                                           \
            return err_new(ERR_INTERNAL, "injected fault %s", (name));                                                 \
    } while (0)
#else
#define FAULT(name) ((void)0)
#define FAULT_ERR(name) ((void)0)
#endif

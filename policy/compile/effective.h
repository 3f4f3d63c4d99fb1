/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/*
 * Decides which policy wins. Runs once when a snapshot is built: afterwards every route, backend reference
 * and bind has the objects that apply to it, and the request path only follows pointers.
 *
 * For each kind the strongest level that sets it wins, without members of weaker levels (config/README.md):
 *
 *   route      gateway < gateway with port < listener < route < rule < written in the rule
 *   backend    gateway < gateway with port < listener < backend, service < service port < route < rule
 *              < written in the rule < written in the backend < written where the rule names the backend
 *   headers of a backend
 *              backend, service < service port < written in the backend < where the rule names it;
 *              applied after the modifiers of the route
 *   bind       gateway < gateway with port < listener if it is the only one of the bind; each of several
 *              listeners may have its own idle time
 */

/* The default of `frontendPolicies.http`. */
extern const struct frontend_http frontend_http_default;

/*
 * Compiles regular expressions and route tables, resolves precedence, sets every member of the model that is
 * marked as compiled, and is_attached and attach_namespace of the policies; warns about ties and missing
 * targets. The snapshot must not be shared yet. 0, -ENOMEM, or -EINVAL with errors in the report; after an
 * error the snapshot can only be freed.
 */
int policy_compile(struct snapshot *snapshot, struct config_report *report);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Makes *place, which the snapshot owns, with the value: NULL, or one reference, which it takes in any case.
 * False: no memory.
 */
bool fetch_value_keep(struct decoder *d, struct fetched_value *value, struct fetched **place);
/*
 * What the gateway fetches from a URL: of `source` kind, url, prefix and place are set. risk: what somebody
 * can do who changes it on its way, for the warning about http://. False: reported.
 */
bool fetch_value_url(struct decoder *d, const struct yaml_node *node, const struct fetch_source *source,
		     const char *risk);

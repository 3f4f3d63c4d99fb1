/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Objects from before a reload. An object that becomes wrong stays in force as it was, as if an API server
 * had refused the change: a slip of the pen must not turn a working route into answers of 500. But what only
 * the new version of a policy was to protect would be unprotected: it answers 500.
 *
 * Each snapshot keeps the text of its objects without errors, except Secrets, ConfigMaps and endpoints; the
 * next load takes from it what it needs, and decodes everything a second time. A restart has no objects from
 * before.
 */

/* After everything is decoded: keeps the objects without errors. */
void kept_objects_save(struct manifests *m);
/*
 * Finds objects with an error that `previous` has without, and fills builder->restore ("HTTPRoute app/r" ->
 * struct kept_object) for the second time.
 */
void kept_objects_find(struct manifests *m);
/*
 * The second time: returns the document to use instead of `document`, whose label has been set; NULL: none,
 * or no memory.
 */
struct yaml_document *kept_object_restore(struct manifests *m, const struct yaml_document *document);

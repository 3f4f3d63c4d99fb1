/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"

/* Kubernetes manifests: documents with an apiVersion. Decodes all of them together into the builder. */
void gatewayapi_decode(struct builder *builder, struct yaml_document *const *document_list,
		       uint32_t document_count);
/* Services with their EndpointSlices, for a copy of a snapshot: services_update(). */
int gatewayapi_update(struct builder *builder, struct yaml_document *const *document_list,
		      uint32_t document_count, struct snapshot *copy);

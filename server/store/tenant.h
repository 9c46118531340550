// Tenants: every artifact, job, cached result and possession of a blob belongs to one, and what
// belongs to another does not exist for it. A name is 1..64 of [A-Za-z0-9_-].
#ifndef RADIOGRAPH_SERVER_STORE_TENANT_H_
#define RADIOGRAPH_SERVER_STORE_TENANT_H_

namespace radiograph {

inline constexpr char kDefaultTenant[] = "default";  // of all who come to a server without tokens
// The workers': finds every tenant's blobs, has no artifacts and no jobs.
inline constexpr char kEveryTenant[] = "*";

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_TENANT_H_

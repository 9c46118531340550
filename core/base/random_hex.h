// Names that nobody can guess: lease tokens, ids of jobs.
#ifndef RADIOGRAPH_CORE_BASE_RANDOM_HEX_H_
#define RADIOGRAPH_CORE_BASE_RANDOM_HEX_H_

#include <string>

namespace radiograph {

// `bytes` (up to 256) from the kernel's generator, as hexadecimal digits.
std::string RandomHex(int bytes);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_RANDOM_HEX_H_

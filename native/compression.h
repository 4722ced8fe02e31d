// LZ4 blocks (the block format, without frames or checksums), as functions of the addon.
#ifndef QUADRING_COMPRESSION_H
#define QUADRING_COMPRESSION_H

#include <napi.h>

namespace quadring {

void DefineCompression(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif

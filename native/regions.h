// Memory that records may name: up to 16 regions, each the bytes of one typed array that JavaScript attached.
#ifndef QUADRING_REGIONS_H
#define QUADRING_REGIONS_H

#include <cstddef>
#include <cstdint>

namespace quadring {

constexpr uint32_t kRegionsMax = 16;

struct Region {
  uint8_t* base = nullptr;
  size_t length = 0;
  /** Size of the buffers that reads with kFlagSelect lend; 0: there are no such reads. */
  uint32_t select_bytes = 0;
};

class Regions {
 public:
  void Attach(uint32_t region, uint8_t* base, size_t length, uint32_t select_bytes) {
    regions_[region] = Region{base, length, select_bytes};
  }

  uint32_t select_bytes(uint32_t region) const { return region < kRegionsMax ? regions_[region].select_bytes : 0; }

  /** The address of [offset, offset + length) in a region, or null if it does not lie inside an attached one. */
  uint8_t* Locate(uint32_t region, uint32_t offset, uint32_t length) const {
    if (region >= kRegionsMax) return nullptr;
    const Region& found = regions_[region];
    if (found.base == nullptr || uint64_t{offset} + length > found.length) return nullptr;
    return found.base + offset;
  }

 private:
  Region regions_[kRegionsMax];
};

}  // namespace quadring

#endif

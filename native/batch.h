// One turn's records, read once, checked, and made into operations that can be carried out without further checks.
//
// JavaScript owns the records and names, and another thread could change them at any time: each word is read exactly
// once, and names are copied before they are looked at. Nothing that a record can hold leads to an address outside the
// attached regions.
#ifndef QUADRING_BATCH_H
#define QUADRING_BATCH_H

#include <cstdint>
#include <vector>

#include "backend.h"
#include "record.h"
#include "regions.h"

namespace quadring {

struct Operation {
  uint32_t opcode;
  int32_t file;
  uint8_t* buffer;
  uint32_t length;
  uint32_t region;
  uint32_t buffer_offset;
  /** A read that selects: how many bytes at `buffer` it lends. Otherwise 0. */
  uint32_t select_bytes;
  uint64_t offset;
  uint32_t user_data;
  uint32_t flags;
  /** The next operation of the batch runs only if this one succeeds; never set on the last one. */
  bool linked;
  /** 0, or the negative errno with which it completes without being carried out. */
  int32_t refusal;
  const char* first_name;
  const char* second_name;
};

class Batch {
 public:
  explicit Batch(uint32_t entries) : operations_(entries), names_(size_t{entries} * kNameStride) {}

  /**
   * REQUIRES: count ≤ entries. A record that is not valid, as is what a chain has beyond `chain_max` records, gets -EINVAL; the others of its chain get -ECANCELED, as
   * io_uring does with a chain that has an unacceptable member. Not valid in a chain are a read that selects (cancelled
   * there, it would leave behind what it lent), what is polled for (it is in another ring), a timeout (kernels before 5.16 take its end for a failure) and a
   * truncation (kernels before 6.9 have none, and the turn makes the call itself).
   */
  void Read(const BackendOptions& arrays, const Regions& regions, uint32_t count, uint32_t chain_max);

  const Operation* begin() const { return operations_.data(); }
  const Operation* end() const { return operations_.data() + count_; }

 private:
  void Decode(const BackendOptions& arrays, const Regions& regions, uint32_t index, Operation* operation);
  bool CopyName(const uint8_t* from, char* to) const;

  std::vector<Operation> operations_;
  std::vector<char> names_;
  uint32_t count_ = 0;
};

}  // namespace quadring

#endif

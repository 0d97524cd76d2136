// Checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

namespace download_manager {

// FIPS 180-4.
class sha256 {
public:
    void add(std::span<const unsigned char> bytes);
    [[nodiscard]] std::string finish();

private:
    void digest_block();

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<unsigned char, 64> block_{};
    std::size_t fill_ = 0;
    std::uint64_t size_ = 0;
};

// Of an open file, from its start. On a worker thread: it may block and compute as long as it likes, but looks at the
// token.
[[nodiscard]] std::string checksum(std::stop_token stop, int fd);

} // namespace download_manager

#include "tls/certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace tls_tests {
namespace {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* p) const noexcept {
        Free(p);
    }
};
using certificate_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, freed_by<&X509_EXTENSION_free>>;

void require(bool ok) {
    if (!ok) throw std::runtime_error("OpenSSL could not make a certificate");
}

std::string text_of(BIO* bio) {
    char* begin = nullptr;
    const long size = BIO_get_mem_data(bio, &begin);
    return {begin, static_cast<std::size_t>(size)};
}

void add_extension(X509* c, X509* issuer, int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, c, nullptr, nullptr, 0);
    const extension_ptr e(X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()));
    require(e && X509_add_ext(c, e.get(), -1) == 1);
}

} // namespace

identity make_identity(const certificate_request& wanted, const identity* issuer) {
    static std::atomic<long> serial{1};
    const key_ptr key(EVP_EC_gen("P-256"));
    const certificate_ptr c(X509_new());
    require(key && c);
    X509_set_version(c.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c.get()), wanted.valid_from);
    X509_gmtime_adj(X509_getm_notAfter(c.get()), wanted.valid_to);
    X509_set_pubkey(c.get(), key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c.get()), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1, 0);

    certificate_ptr issuer_certificate;
    key_ptr issuer_key;
    if (issuer) {
        const bio_ptr from(BIO_new_mem_buf(issuer->certificate.data(), static_cast<int>(issuer->certificate.size())));
        issuer_certificate.reset(PEM_read_bio_X509(from.get(), nullptr, nullptr, nullptr));
        const bio_ptr key_from(BIO_new_mem_buf(issuer->key.data(), static_cast<int>(issuer->key.size())));
        issuer_key.reset(PEM_read_bio_PrivateKey(key_from.get(), nullptr, nullptr, nullptr));
        require(issuer_certificate && issuer_key);
    }
    X509* const by = issuer ? issuer_certificate.get() : c.get();
    X509_set_issuer_name(c.get(), X509_get_subject_name(by));
    if (wanted.authority) add_extension(c.get(), by, NID_basic_constraints, "critical,CA:TRUE");
    std::string names;
    for (const std::string& n : wanted.names) names += (names.empty() ? "" : ",") + n;
    if (!names.empty()) add_extension(c.get(), by, NID_subject_alt_name, names);
    require(X509_sign(c.get(), issuer ? issuer_key.get() : key.get(), EVP_sha256()) > 0);

    const bio_ptr certificate_text(BIO_new(BIO_s_mem()));
    const bio_ptr key_text(BIO_new(BIO_s_mem()));
    require(PEM_write_bio_X509(certificate_text.get(), c.get()) == 1);
    require(PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return {text_of(certificate_text.get()), text_of(key_text.get())};
}

const identity& authority() {
    static const identity one = make_identity({.name = "Test Authority", .names = {}, .authority = true});
    return one;
}
const identity& localhost() {
    static const identity one = make_identity({.name = "localhost", .names = {"DNS:localhost", "IP:127.0.0.1"}}, &authority());
    return one;
}
const identity& other() {
    static const identity one = make_identity({.name = "other.test", .names = {"DNS:other.test"}}, &authority());
    return one;
}
const identity& expired() {
    static const identity one = make_identity({.name = "localhost", .names = {"DNS:localhost"}, .valid_from = -7200, .valid_to = -3600}, &authority());
    return one;
}
const identity& somebody() {
    static const identity one = make_identity({.name = "somebody", .names = {}}, &authority());
    return one;
}
const identity& self_signed() {
    static const identity one = make_identity({.name = "localhost", .names = {"DNS:localhost"}});
    return one;
}

} // namespace tls_tests

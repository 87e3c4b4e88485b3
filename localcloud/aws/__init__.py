"""A laptop's AWS: resource types for the engine, each of which makes real S3 and IAM calls to a moto server."""

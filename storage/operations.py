"""Operations on storage."""
